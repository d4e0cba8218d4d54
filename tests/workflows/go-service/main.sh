echo "svc $version on $platform"
