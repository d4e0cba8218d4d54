#!/bin/sh
# An authority of one's own, and a certificate of it for shop.example that is good for DAYS days.
set -eu
mkdir -p certificate
new="ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 -newkey $new -days 30 -subj "/CN=Shop authority" \
    -keyout authority.key -out authority.crt
openssl req -newkey $new -subj "/CN=shop.example" -keyout certificate/shop.key -out shop.csr
echo "subjectAltName = DNS:shop.example" >names
openssl x509 -req -in shop.csr -CA authority.crt -CAkey authority.key -days "$DAYS" -extfile names \
    -out certificate/shop.crt
