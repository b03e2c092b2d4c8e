"""Running a plan: load the checks, plan the steps, perform them in workers, keep a journal, fold it into evidence."""
