"""What acts as root on the user's machine, in the daemon and the command line: containers, networks, disks."""
