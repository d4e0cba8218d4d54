echo "echo core 1.1" > packages/core/build.sh
echo "echo web 2.0" > packages/web/build.sh
git commit -qam "Core and web are faster"
