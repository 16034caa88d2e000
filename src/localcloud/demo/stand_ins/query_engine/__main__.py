from localcloud.demo.stand_ins.query_engine.archive import main

main()
