"""`wheelgate check`: every source and workspace is asked, and what is wrong is said with its remedy.

    examination.py   all at once, each within its time ─▶ simple.py  azure.py  github.py  directory.py
                                                            │        workspace.py  advisories.py  ledger.py
                                                            └─▶ chart.py   what is found out about one
    report.py        the rows, as they are printed

An examination asks as the server would, over the same sources with the same credentials; it changes nothing, and what
it says of a credential is never the credential.
"""

from proxy.doctor.report import Report, Row

__all__ = ["Report", "Row"]
