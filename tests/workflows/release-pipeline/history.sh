git tag v1.0.0
git commit -q --allow-empty -m "fix: 100% of the {curly} braces"
git commit -q --allow-empty -m "feat: doubles"
echo 1.1.0-rc.1 > VERSION
git commit -qam "chore: version"
git tag v1.1.0-rc.1
