"""General file tools.

archives.py         untrusted archives: unpacking, reading single files
archive_limits.py   limits of archives, and the checks that all readers share
zip_members.py, tar_members.py     readers of the two formats
streamed_zip.py     a zip unpacked while it arrives
packing.py          a folder as one tar with an index
checksums.py        checksums of files
browsing.py         contents of folders, and file names in messages
rendering.py        text templates
"""
