echo "More" >> docs/index.md
git commit -qam "docs: more"
