"""What acts upon the user's machine: containers, networks, disks and packet filter behind the API's servers."""
