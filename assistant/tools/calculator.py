"""A calculator with a parser of its own: what the model writes is never run as code, and nothing it writes takes long.

Numbers are exact fractions as long as they can be, so 0.1 + 0.2 is 0.3; roots and the like are floats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

from assistant.tools import Result, Service, ToolError

calculator = Service("calculator", title="Calculator", description="Calculates exactly.")

LONGEST = 1000  # characters of an expression
DEEPEST = 50  # parentheses and signs inside each other
LARGEST_BITS = 4096  # of a numerator or denominator: some 1,200 digits

Number = Fraction | float


@calculator.tool(title="Calculation", doing="Calculating", timeout=5, idempotent=True)
def calculate(expression: str) -> Result:
    """Evaluates an arithmetic expression exactly where that is possible.

    There are + - * / // % (modulo) ^ (or **), parentheses, ! (factorial), the constants pi, e and tau, and
    sqrt, cbrt, abs, round, floor, ceil, exp, ln, log10, log2, sin, cos, tan, asin, acos, atan (radians), degrees,
    radians, min, max, gcd, lcm.

    expression: for example (3 + 4) * 2^10 / sqrt(2)
    """
    value = evaluate(expression)
    text = written(value)
    return Result(f"{expression.strip()} = {text}", f"= {text}")


def evaluate(expression: str) -> Number:
    """The value. Raises ToolError for what can't be read, is undefined or too large."""
    if len(expression) > LONGEST:
        raise ToolError(f"The expression is longer than {LONGEST} characters.")
    try:
        return _Parser(expression).whole()
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise ToolError(f"That is not defined: {error}.") from None


def written(value: Number) -> str:
    """As digits: exact if that is short enough, else rounded to 15 significant digits."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if value.denominator == 1:
        digits = str(value.numerator)
        return digits if len(digits) <= 400 else f"about {_scientific(value)}"
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest == 1 and value.denominator.bit_length() <= 64:
        return _decimal(value)
    return f"{_scientific(value)} (= {value})" if value.denominator < 10**12 else _scientific(value)


def _decimal(value: Fraction) -> str:
    """A fraction whose decimal digits end."""
    places = 0
    while value.denominator != 1:
        value, places = value * 10, places + 1
    digits = str(abs(value.numerator)).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _scientific(value: Fraction) -> str:
    try:
        return f"{float(value):.15g}"
    except OverflowError:
        digits = str(abs(value.numerator) // value.denominator)
        return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:15]}e+{len(digits) - 1}"


def _exact(function: Callable[[float], float]) -> Callable[..., Number]:
    return lambda x: function(float(x))


def _sqrt(x: Number) -> Number:
    if isinstance(x, Fraction) and x >= 0:
        top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if top * top == x.numerator and bottom * bottom == x.denominator:
            return Fraction(top, bottom)
    return math.sqrt(x)


def _round(x: Number, places: Number = Fraction(0)) -> Number:
    digits = _integer(places, "round")
    if abs(digits) > 300:
        raise ToolError("round: too many places.")
    return Fraction(round(Fraction(x), digits))


def _integer(x: Number, what: str) -> int:
    if x != int(x):
        raise ToolError(f"{what} needs whole numbers.")
    return int(x)


_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Number]]] = {
    "sqrt": (1, 1, _sqrt),
    "cbrt": (1, 1, _exact(math.cbrt)),
    "abs": (1, 1, abs),
    "round": (1, 2, _round),
    "floor": (1, 1, lambda x: Fraction(math.floor(x))),
    "ceil": (1, 1, lambda x: Fraction(math.ceil(x))),
    "exp": (1, 1, _exact(math.exp)),
    "ln": (1, 1, _exact(math.log)),
    "log10": (1, 1, _exact(math.log10)),
    "log2": (1, 1, _exact(math.log2)),
    **{name: (1, 1, _exact(getattr(math, name))) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    "degrees": (1, 1, _exact(math.degrees)),
    "radians": (1, 1, _exact(math.radians)),
    "min": (1, 50, min),
    "max": (1, 50, max),
    "gcd": (2, 50, lambda *xs: Fraction(math.gcd(*(_integer(x, "gcd") for x in xs)))),
    "lcm": (2, 10, lambda *xs: Fraction(math.lcm(*(_integer(x, "lcm") for x in xs)))),
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d{1,4})?|\.\d+(?:[eE][+-]?\d{1,4})?)|([A-Za-z_]\w*)|(\*\*|//|.))"
)
_SAME = {"×": "*", "·": "*", "÷": "/", "−": "-", "**": "^"}


class _Parser:
    """Recursive descent: sum, product, sign, power, postfix, atom. Evaluates as it reads."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        for number, name, sign in _TOKEN.findall(text.strip()):
            kind = "number" if number else "name" if name else "sign"
            self._tokens.append((kind, number or name or _SAME.get(sign, sign)))
        self._place = 0
        self._depth = 0

    def whole(self) -> Number:
        value = self._sum()
        if self._place < len(self._tokens):
            raise ToolError(f"{self._tokens[self._place][1]!r} can't stand there.")
        return value

    def _take(self, *signs: str) -> str | None:
        if self._place < len(self._tokens):
            kind, text = self._tokens[self._place]
            if kind == "sign" and text in signs:
                self._place += 1
                return text
        return None

    def _sum(self) -> Number:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError("There are too many parentheses inside each other.")
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = _bounded(value + other if sign == "+" else value - other)
        self._depth -= 1
        return value

    def _product(self) -> Number:
        value = self._signed()
        while sign := self._take("*", "/", "//", "%"):
            other = self._signed()
            if sign == "*":
                value = value * other
            elif sign == "/":
                value = value / other
            elif sign == "//":
                value = Fraction(value // other)
            else:
                value = value % other
            value = _bounded(value)
        return value

    def _signed(self) -> Number:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        base = self._postfix()
        if not self._take("^"):
            return base
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError("There are too many powers inside each other.")
        exponent = self._signed()
        self._depth -= 1
        return _bounded(_raised(base, exponent))

    def _postfix(self) -> Number:
        value = self._atom()
        while self._take("!"):
            value = _factorial(value)
        return value

    def _atom(self) -> Number:
        if self._place >= len(self._tokens):
            raise ToolError("The expression ends too early.")
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "number":
            return _bounded(Fraction(text))
        if kind == "name":
            return self._named(text)
        if text == "(":
            value = self._sum()
            self._close()
            return value
        raise ToolError(f"{text!r} can't stand there.")

    def _named(self, name: str) -> Number:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name not in _FUNCTIONS:
            raise ToolError(f"There is no {name[:40]!r} here.")
        least, most, function = _FUNCTIONS[name]
        if not self._take("("):
            raise ToolError(f"{name} needs parentheses.")
        values = [self._sum()]
        while self._take(","):
            values.append(self._sum())
        self._close()
        if not least <= len(values) <= most:
            raise ToolError(f"{name} can't take {len(values)} values.")
        return _bounded(function(*values))

    def _close(self) -> None:
        if not self._take(")"):
            raise ToolError("A parenthesis is not closed.")


def _raised(base: Number, exponent: Number) -> Number:
    """base ^ exponent; how large it would become is known before it is done."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length(), 1)
        if base not in (0, 1, -1) and size * abs(exponent.numerator) > LARGEST_BITS * 2:
            raise ToolError("The number becomes too large.")
        return base**exponent.numerator if base or exponent >= 0 else 1 / base
    value = float(base) ** float(exponent)
    if isinstance(value, complex):
        raise ToolError("That is not a real number.")
    return value


def _factorial(value: Number) -> Number:
    number = _integer(value, "!")
    if not 0 <= number <= 500:
        raise ToolError("! is for whole numbers from 0 to 500.")
    return _bounded(Fraction(math.factorial(number)))


def _bounded(value: Number) -> Number:
    if isinstance(value, float):
        if math.isinf(value) or math.isnan(value):
            raise ToolError("The number becomes too large.")
        return value
    value = Fraction(value)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_BITS:
        raise ToolError("The number becomes too large.")
    return value
