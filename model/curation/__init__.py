"""Editing of datasets that are a folder per class: every change is in a journal and can be undone.

places.py           where things are in a dataset, and its content
folders.py          folders and numbers of photos, read again where something has changed
names.py            names of classes and files: what is accepted
journal.py          the journal of changes, and what a killed process left to do
history.py          the changes as a user sees them
changes.py          changes and their undo
plans.py            which files each change moves
uploads.py          receiving many files, which can be resumed
upload_files.py     where an upload is in a dataset
arrivals.py         checks of received files; archives are unpacked
renames.py          today's names of the classes and photos of older models
thumbnails.py       small previews, cached
verdict.py          what a training would meet: computed in a process of its own by verdict_process.py
imports.py          other datasets, archives, remote storage and labels as a dataset
"""
