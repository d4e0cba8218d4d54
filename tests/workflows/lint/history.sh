git branch stable
echo "[1]" > src/data.json
git commit -qam "fix(data): a list"
echo "[2]" > src/data.json
git commit -qam "more"
