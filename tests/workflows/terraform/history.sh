git branch stable
echo "resource \"cache\"" >> infra/main.tf; git commit -qam "A cache"
