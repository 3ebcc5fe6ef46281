"""
Run the notebooks headless with papermill, from a parameter file to a report.
"""
