#!/bin/sh
# A server that a shell script starts, as many programs come: it sets things up and runs the server with what it was given.
# app_start_command = "./start.sh"
set -eu
cd "$(dirname "$0")"
GREETING=${GREETING:-hello from a shell-started server}
export GREETING
echo "starting on $HOST:$PORT"
exec perl server.pl
