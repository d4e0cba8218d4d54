git branch stable
echo "More of it" >> docs/index.md
git commit -qam "More"
