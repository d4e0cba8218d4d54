echo "slow on $1"; echo "::error file=suites/slow.sh,line=1,endLine=2,col=3::too slow"; exit 3
