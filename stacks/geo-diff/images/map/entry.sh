#!/bin/sh
# Write the address of the tiles into the page's settings and headers, then become nginx.
set -eu

# it goes into JSON and into a header, so accept nothing but an origin
if ! printf '%s' "${TILES_URL:-}" | grep -Eqx 'https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?'; then
  echo "expected TILES_URL to be an origin such as http://192.0.2.10:5000, got '${TILES_URL:-}'" >&2
  exit 78
fi

printf '{"tiles_url": "%s"}\n' "$TILES_URL" > /tmp/config.json
cat > /tmp/content_security_policy.conf <<CONF
add_header Content-Security-Policy "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' $TILES_URL; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" always;
CONF

exec nginx -g 'daemon off;'
