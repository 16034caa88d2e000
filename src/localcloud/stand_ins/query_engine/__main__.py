from localcloud.stand_ins.query_engine import main

main()
