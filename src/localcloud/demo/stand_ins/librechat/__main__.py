from localcloud.demo.stand_ins.librechat.image import main

raise SystemExit(main())
