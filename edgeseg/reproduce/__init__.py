"""The papers' tables: runs, results and reports."""
