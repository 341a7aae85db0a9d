#!/bin/sh
# Installs Debian's Chromium for the browser tests where it is missing and can be installed. Without it those tests are
# skipped on a developer's machine and fail in CI (CI=true).
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium for the browser tests ..."
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-color-emoji) >/dev/null 2>&1 \
        || echo "chromium could not be installed"
fi
exit 0
