#!/bin/sh
# Makes ./adapter, which runs main.py. PYTHON names another Python, 3.10 or later.
set -eu
cd "$(dirname "$0")"
printf '#!/bin/sh\nexec %s "$(dirname "$0")/main.py" "$@"\n' "${PYTHON:-python3}" > adapter
chmod +x adapter
