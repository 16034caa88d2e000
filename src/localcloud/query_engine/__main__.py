from localcloud.query_engine import main

main()
