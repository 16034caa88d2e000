#!/usr/bin/python
"""Documents the action plugin of the same name, which builds the file on the control machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parrotpark_program
short_description: Install a program of ours as one file
description:
  - Packs a Python module of C(parrotpark), and all that it imports of that package, into an executable zip application.
  - The same sources give the same bytes, and what the module does not import never changes the file. So a host gets
    what it needs, and no more.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    description: Names the file and the sources that it is made of, as the file itself is not text.
  idempotent:
    support: full
options:
  module:
    description: The module, whose function C(main) returns the exit status.
    type: str
    required: true
  dest:
    description: Where to put the program on the host; the folder must exist.
    type: path
    required: true
  interpreter:
    description: What runs it. Libraries come from there.
    type: str
    default: /usr/bin/python3 -I
"""

EXAMPLES = r"""
- name: Install the program that a host joins with
  parrotpark_program:
    module: parrotpark.gpu_host.join
    dest: /usr/local/sbin/parrotpark-join
"""

RETURN = r"""
dest:
  description: The file on the host.
  type: str
  returned: success
  sample: /usr/local/sbin/parrotpark-join
"""
