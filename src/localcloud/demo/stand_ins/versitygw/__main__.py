from localcloud.demo.stand_ins.versitygw.build import main

main()
