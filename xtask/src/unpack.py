"""Copies selected members of wheels: the arguments are repeated groups of WHEEL, MEMBER and TARGET.

A member that ends with a slash is a folder, which is copied completely. zipfile verifies the checksum of each member.
"""

import os
import shutil
import sys
import zipfile

arguments = iter(sys.argv[1:])
for wheel, chosen, target in zip(arguments, arguments, arguments):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            is_chosen = name == chosen or (chosen.endswith("/") and name.startswith(chosen))
            if not is_chosen or name.endswith("/"):
                continue
            path = target + name[len(chosen):]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(name) as source, open(path, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
