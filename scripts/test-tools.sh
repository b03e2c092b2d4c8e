#!/bin/sh
# Installs what the tests use beside Python where it can (root on Debian or Ubuntu); elsewhere the tests say what they left out.
set -eu
missing=""
command -v gcc >/dev/null 2>&1 || missing="$missing gcc g++"
command -v g++ >/dev/null 2>&1 || missing="$missing g++"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not installed:$missing (the tests that need them are left out)"
fi
