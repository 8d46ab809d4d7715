#!/bin/sh
# Makes the Python code of the .proto files, in stubs/ beside this script or where it is told: sh stubs.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
protos=$here/../../../proto
to=${1:-$here/stubs}
mkdir -p "$to"
exec python3 -m grpc_tools.protoc -I "$protos" --python_out="$to" --pyi_out="$to" --grpc_python_out="$to" "$protos"/covey/v1/*.proto
