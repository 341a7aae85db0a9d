"""How providers word their errors: codes first, then words. Pure tables, gathered from public reports of what servers say.

A code is compared without its case and without what is no letter or digit: `context_length_exceeded` is
`ContextLengthExceeded`. Codes that are numbers carry the name of who gives them.
"""

from __future__ import annotations

import re

OVERLOADED = "overloaded"  # a provider_error that passes
BAD_REQUEST = "bad_request"  # a provider_error that stays

# By category, in the order in which they are looked for.
CODES: dict[str, frozenset[str]] = {
    "context_overflow": frozenset(
        {
            "contextlengthexceeded", "contextwindowexceeded", "contextwindowexceedederror", "contextlimitexceeded",
            "modelcontextwindowexceeded", "contextoverflow", "maxcontextlengthexceeded", "exceedcontextsizeerror",
            "inputtoolong", "prompttoolong", "requesttoolarge", "stringabovemaxlength", "inputtokenlimitexceeded",
            "tokenlimitexceeded", "contextlengtherror", "tokenslimitreached",
            "modelmaxprompttokensexceeded", "zhipu1261",
        }
    ),
    "out_of_credit": frozenset(
        {
            "insufficientquota", "insufficientbalance", "insufficientbalanceerror", "insufficientcredits",
            "insufficientcredit", "insufficientfunds", "insufficientuserquota", "billinghardlimitreached",
            "billingnotactive", "billingerror", "paymentrequired", "creditsexhausted", "arrearage", "accountoverdue",
            "accountoverdueerror", "exceededcurrentquotaerror", "quotanotenough", "preconsumetokenquotafailed",
            "budgetexceeded", "usagenotincluded", "zhipu1113", "minimax1008", "minimax2056",
        }
    ),
    "content_filtered": frozenset(
        {
            "contentfilter", "contentfiltered", "contentfiltererror", "contentpolicyviolation", "contentblocked",
            "responsibleaipolicyviolation", "datainspectionfailed", "moderationblocked", "promptblocked",
            "inputtextsensitivecontentdetected", "outputtextsensitivecontentdetected", "sensitivecontentdetected",
            "guardrailintervened", "zhipu1301", "minimax1026", "minimax1027",
        }
    ),
    "auth": frozenset(
        {
            "invalidapikey", "incorrectapikey", "apikeyinvalid", "missingapikey", "invalidkey", "invalidtoken",
            "expiredtoken", "authenticationerror", "invalidauthenticationerror", "invalidauthentication",
            "unauthorized", "unauthenticated", "permissiondenied", "permissiondeniederror", "permissionerror",
            "accessdenied", "accessdeniedexception", "unrecognizedclientexception", "forbidden", "accountdeactivated",
            "zhipu1000", "zhipu1001", "zhipu1002", "zhipu1003", "zhipu1004", "minimax1004", "minimax2049",
        }
    ),
    "invalid_model": frozenset(
        {
            "modelnotfound", "modelnotfounderror", "modelnotexist", "modelnotsupported", "modelnotopen",
            "modeldecommissioned", "modelnotavailable", "invalidmodel", "unknownmodel", "nosuchmodel",
            "deploymentnotfound", "notfounderror", "invalidendpointormodelnotfound", "resourcenotfoundexception",
            "zhipu1211",
        }
    ),
    "rate_limited": frozenset(
        {
            "ratelimitexceeded", "ratelimiterror", "ratelimitreached", "ratelimitreachederror", "ratelimited",
            "toomanyrequests", "throttling", "throttlingexception", "throttlingratequota", "throttlingallocationquota",
            "throttlingburstrate", "resourceexhausted", "requestlimitexceeded", "quotaexceeded", "limitrequests",
            "limitburstrate", "zhipu1302", "zhipu1303", "zhipu1304", "zhipu1308", "minimax1002", "minimax1039",
        }
    ),
    OVERLOADED: frozenset(
        {
            "overloadederror", "overloaded", "engineoverloadederror", "modeloverloaded", "serverisoverloaded",
            "serviceunavailable", "serviceunavailableerror", "unavailable", "slowdown", "internalservererror",
            "internalerror", "internal", "servererror", "apierror", "modelnotready", "modelnotreadyexception",
            "timeouterror", "zhipu1234", "zhipu1305", "minimax1000", "minimax1001", "minimax1024",
        }
    ),
    BAD_REQUEST: frozenset(
        {
            "invalidrequesterror", "invalidrequest", "badrequesterror", "badrequest", "invalidargument",
            "invalidparameter", "invalidparametererror", "validationexception", "unsupportedparameter",
            "unknownparameter", "unsupportedvalue", "unprocessableentity", "unprocessableentityerror", "minimax2013",
        }
    ),
}  # fmt: skip

_NOT_IN_A_CODE = re.compile(r"[^a-z0-9]")


def plain(code: str) -> str:
    return _NOT_IN_A_CODE.sub("", code.lower())


def category_of_codes(codes: frozenset[str]) -> str | None:
    """`codes` are plain. The first category that has one of them."""
    return next((category for category, known in CODES.items() if known & codes), None)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.DOTALL)


# The prompt is longer than the model reads. Beside each who says so.
OVERFLOW = _any(
    r"context[ _-]?length[ _-]?(?:was |is |has been )?exceeded",  # OpenAI, Groq
    r"context (?:window|size|limit) (?:was |is |has been )?exceeded",  # LM Studio (MLX), proxies
    # OpenAI, llama.cpp
    r"exceed\w* (?:the |your |this |its )?(?:\w+'s )?(?:available |maximum |max |model |input )*context",
    r"exceed\w* (?:the |this )?model(?:'s)? (?:maximum |max |input )*(?:context|token limit|input limit)",  # Moonshot
    r"(?:maximum|max)(?:imum)? (?:allowed )?context (?:length|window|size|limit)",  # OpenAI, vLLM, OpenRouter, DeepSeek
    r"exceed context limit",  # Anthropic, with an output limit
    r"prompt (?:is )?too (?:long|large)",  # Anthropic, Fireworks, Bedrock, Ollama
    r"input (?:is |was )?too (?:long|large)(?! for (?:the )?(?:field|parameter))",  # Bedrock, Databricks
    r"input token count[^.]{0,60}exceeds",  # Gemini
    r"exceeds the maximum number of tokens allowed",  # Gemini
    r"(?:maximum|max) prompt length is \d",  # xAI
    r"reduce the length of (?:the |your )?(?:messages?|prompt|input|either one)",  # Groq, OpenAI, OpenRouter, Azure
    r"(?:input|prompt) tokens? exceeds? the configured limit",  # Azure
    r"prompt token count of \d+ exceeds",  # GitHub Copilot
    # SGLang, LM Studio
    r"(?:longer|greater|larger|more) than (?:the )?(?:\w+'s )?(?:maximum |max )?(?:model )?(?:context|n_ctx)",
    r"tokens? to keep from the initial prompt",  # LM Studio
    r"trying to keep the first \d+ tokens",  # LM Studio
    r"too long to fit (?:into|in) the model",  # vLLM, with images
    r"longer than (?:the )?maximum model length",  # vLLM
    r"exceeds? (?:the )?max_model_len",  # vLLM
    r"`?inputs`? (?:tokens|must have)[^.]{0,80}(?:max_new_tokens|less than \d)",  # TGI
    r"(?:inputs?|prompt) tokens \+ `?max_(?:new_)?tokens`?",  # TGI, Together
    r"too large for model with \d+ maximum",  # Mistral
    r"range of input length should be",  # DashScope
    r"prompt exceeds (?:the )?(?:max(?:imum)?|model|length|token)",  # Z.ai, Alibaba
    r"context window exceeds limit",  # MiniMax
    r"context window (?:is )?full|not enough context|out of context",  # local servers
    r"exceed\w* context window of",  # llama-cpp-python
    r"(?:is|was) loaded with (?:a )?context length of only",  # LM Studio
    r"current length is [\d,]+ while limit is",  # Cerebras
    r"too many (?:input |prompt )?tokens(?!\s*per)",  # Cohere, Bedrock
    r"total number of tokens[^.]{0,80}(?:cannot|must not|can't) exceed",  # Cohere
    r"token limit exceeded|exceeds? (?:the )?(?:input |total )?token limit",  # proxies
    r"(?:input|prompt|request) (?:length|size|tokens?)[^.]{0,60}exceed\w*[^.]{0,60}(?:context|max|limit|window|\d+ tokens)",
    r"(?<!max_)(?<!_output_)tokens?\b[^.]{0,40} exceed\w* [^.]{0,40}(?:context|limit|max|window)",  # Volcengine
    r"(?:context|conversation|messages?|request|content|history|prompt tokens?) (?:is |are |was )?too (?:long|large)",
    r"exceed\w* (?:the )?max(?:imum)? (?:number of )?tokens|max tokens[^.]{0,20} exceeded",  # Databricks, Snowflake
    r"(?:prompt_tokens|input length)[^.]{0,20} (?:must|should) be|max_seq_len",  # SiliconFlow
    r"only supports? (?:up to )?[\d,]+ tokens|context shift is disabled",  # llama.cpp
    r"(?:maximum|max) (?:allowed )?(?:input|prompt) (?:length|size|tokens?)[^.]{0,20}(?:is|of|exceeded)",  # Databricks
    r"exceeds? (?:the )?maximum (?:allowed )?input (?:length|tokens|size)",  # Databricks, Baseten
    r"input length (?:exceeds|is greater than|and `?max_tokens`? exceed)",  # Ollama, Anthropic
    r"length of all messages is too long",  # Perplexity
    r"tokens in request more than max tokens allowed",  # Cloudflare, proxies
    r"exceeded (?:max )?context length",  # Ollama
    r"configured context size is",  # local servers
    r"(?:context|prompt)[^.]{0,40}shorter input|provide a shorter (?:input|prompt)",  # LM Studio
    r"messages\S* ?'?: string too long",  # OpenAI
    r"the max input (?:characters|tokens|length)",  # Baidu
    r"request (?:entity|body|payload) (?:is )?too large|payload too large",  # proxies, when they cap a request's bytes
    r"(?:输入|提示词|上下文|prompt)[^。]{0,12}(?:过长|超长|超过|超出)",
)
# Sounds like it, and isn't: an output limit, a field of its own.
NOT_OVERFLOW = _any(
    r"max(?:_completion|_output)?_tokens\W{0,3} (?:is )?too (?:large|high|big)(?!.*context)",
    r"max(?:_completion|_output|_new)?_tokens\b[^.]{0,60}exceed(?!.*(?:context|input|prompt))",
    r"range of max_tokens should be",
    r"maximum allowed number of output tokens",
    r"supports at most \d+ (?:completion|output) tokens",
    r"(?:tools|functions?|metadata|user|tool_calls|response_format|stop)\b[^:]{0,60}: string too long",
    r"image exceeds|image is too large|file (?:is )?too large",
)
RATE = _any(
    r"rate[ _-]?limit", r"too many requests", r"(?:tokens?|requests?|queries) per (?:min|day|hour|second|month)",
    r"too many tokens per", r"\b(?:TPM|RPM|TPD|RPD|QPS|QPM)\b", r"throttl", r"concurren\w+ (?:limit|requests)",
    r"too many concurrent", r"slow down", r"tier capacity exceeded", r"please wait before trying again",
    r"(?:retry|try again) in [\d.]+ ?m?s", r"requests? (?:limit|quota) (?:reached|exceeded)",
    r"频率|频繁|限流|并发",
)  # fmt: skip
CREDIT = _any(
    r"insufficient[ _](?:account )?(?:balance|credits?|funds|quota)",
    r"balance (?:is )?(?:too low|not enough|insufficient)",
    r"(?:not enough|no|out of|zero|requires? more|never purchased|add(?: more)?|purchase(?: more)?) "
    r"(?:credits?|balance|funds)\b",
    r"(?:doesn't|does not|don't|do not) have (?:any|enough|sufficient) (?:credits?|balance|funds)",
    r"used all (?:of )?(?:your |the )?available credits",
    r"exceeded your (?:current|monthly|included|plan)[^.]{0,30}(?:quota|credits|budget)",
    r"check your plan and billing",
    r"billing (?:hard )?(?:limit|account|details)[^.]{0,40}(?:reached|not active|disabled)",
    r"account is not active", r"spend(?:ing)? limit", r"budget has been exceeded", r"exceeded budget",
    r"in arrears|overdue[- ]payment|overdue balance", r"payment required", r"recharge your|top up your",
    r"余额不足|欠费|额度(?:不足|已用)",
)  # fmt: skip
FILTER = _any(
    r"content management policy", r"content[ _]filter", r"content policy", r"safety system", r"responsible ai",
    r"data[ _]inspection", r"inappropriate content", r"sensitive (?:content|words?|information)",
    r"flagged (?:as|for|by)", r"violat\w+ (?:our|the|openai's|anthropic's)? ?(?:usage|content|acceptable)[ \w]*polic",
    r"blocked (?:by|due to|for)[^.]{0,60}(?:safety|polic|filter|guardrail|moderation)", r"prohibited (?:content|use)",
    r"guardrail", r"content exists risk", r"敏感|不安全内容|违规",
)  # fmt: skip
AUTH = _any(
    r"(?:invalid|incorrect|missing|wrong|bad|expired|unknown|no|malformed|revoked|disabled) "
    r"(?:x-)?(?:api|auth\w*|access|bearer|subscription)[ _-]?(?:key|token|credentials?)",
    r"(?:api|access|subscription)[ _-]?key[^.]{0,30} "
    r"(?:not valid|invalid|incorrect|expired|not found|missing|required|disabled)",
    r"provide an api key", r"authentication (?:fail|error|required)", r"not authenticated", r"no auth credentials",
    r"(?:invalid|missing|no) credentials", r"unauthori[sz]ed", r"invalid (?:bearer )?token\b(?! (?:at|in))",
    r"身份验证|令牌.{0,4}(?:无效|过期)",
)  # fmt: skip
MODEL = _any(
    r"model[ :]+\S{1,120} (?:does not exist|not found|is not found|is not (?:a valid|supported|available|recogni[sz]ed))",
    r"model[ :]+\S{1,120} has been (?:deprecated|decommissioned|retired|removed)",
    r"the model (?:does not exist|was not found|is not available)", r"model not (?:found|exist|supported)",
    r"(?:no such|unknown|invalid|unsupported|unrecogni[sz]ed) model\b(?! parameter)", r"not a valid model(?: id| name)?",
    r"try pulling it first", r"no endpoints found", r"LLM Provider NOT provided", r"模型不存在",
)  # fmt: skip
PASSING = _any(
    r"overloaded", r"temporarily", r"service (?:is )?unavailable", r"at (?:full )?capacity", r"high demand",
    r"try again later|please retry|retry your request", r"model is (?:currently |still )?loading|loading model",
    r"no healthy upstream|upstream (?:connect |request )?(?:error|timeout)", r"bad gateway|gateway time-?out",
    r"internal (?:server )?error|server error", r"server (?:is )?busy|系统繁忙|服务繁忙",
)  # fmt: skip
TOO_LARGE_FOR_ITS_RATE = _any(r"request too large")  # Groq, OpenAI: one request alone is over the minute's limit
