#!/bin/sh
# Installs TypeScript as package-lock.json has it: it reads the page's scripts, and builds nothing. Node and npm come from
# Debian where they are missing and can be installed.
have() { command -v "$1" >/dev/null 2>&1; }

if ! have npm && [ "$(id -u)" = 0 ] && have apt-get; then
    echo "Installing npm for the types of the page's scripts ..."
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm; } >/tmp/parley-npm.log 2>&1 || tail -n 5 /tmp/parley-npm.log
fi
have npm || { echo "npm is missing, by which TypeScript is installed: install Node.js with npm (on Debian: apt-get install npm)." >&2; exit 1; }
npm ci --no-audit --no-fund --loglevel=error
