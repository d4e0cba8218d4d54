if [ "$BREAK" = lint ]; then echo "::error file=app/server.py,line=1::lint"; exit 4; fi; echo "lint is fine"
