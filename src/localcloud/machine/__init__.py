"""What acts as root upon the user's machine, in the daemon and the command line: containers, networks, disks."""
