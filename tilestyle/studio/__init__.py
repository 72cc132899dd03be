"""The studio: try looks, watch long renders, compare and print, in a browser (`tilestyle studio`).

The server (app.py) keeps files and a queue on disk and answers requests; it never decodes a picture. Pictures
are decoded and rendered in processes of their own (child.py): one for each upload (intake.py), a warm one for
drafts (drafts.py), one for each job (worker.py), and one for each conversion of a result (convert.py).
"""
