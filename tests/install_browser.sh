#!/bin/sh
# Installs Debian's Chromium (for the browser tests) and Node (for the tests of the page's pure modules) where they are
# missing and can be installed. Without them those tests are skipped on a developer's machine and fail in CI (CI=true).
# Its headless shell is tried first: it draws no window around the page, and costs half the CPU.
have() { command -v "$1" >/dev/null 2>&1; }
get() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }
none=.venv/.no-headless-shell # tried before, and not to be had here

have node && { have chromium-headless-shell || { have chromium && [ -e "$none" ]; }; } && exit 0
if [ "$(id -u)" = 0 ] && have apt-get; then
    echo "Installing chromium-headless-shell and nodejs for the tests ..."
    {
        apt-get update -qq
        get chromium-headless-shell || { touch "$none"; have chromium || get chromium; }
        have node || get nodejs
        get fonts-noto-color-emoji
    } >/tmp/parley-apt.log 2>&1 || { echo "they could not be installed:"; tail -n 5 /tmp/parley-apt.log; }
fi
exit 0
