import sys
import urllib.request

print(urllib.request.urlopen(f"http://localhost:{sys.argv[1]}{sys.argv[2]}").read().decode().strip())
