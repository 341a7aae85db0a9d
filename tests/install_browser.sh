#!/bin/sh
# Installs Debian's Chromium (for the browser tests) and Node (for the tests of the page's pure modules) where they are
# missing and can be installed. Without them those tests are skipped on a developer's machine and fail in CI (CI=true).
command -v chromium >/dev/null 2>&1 && command -v node >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium and nodejs for the tests ..."
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-color-emoji nodejs) >/tmp/parley-apt.log 2>&1 \
        || { echo "they could not be installed:"; tail -n 5 /tmp/parley-apt.log; }
fi
exit 0
