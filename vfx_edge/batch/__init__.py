"""Many studies on one machine or a cluster: what there is to do, workers that keep their networks
open, results a folder each, and one summary.

studies -> which studies a folder, file or list holds; plan -> which of them are to be done;
engine -> who does them (a Protocol; engines is the table: processes, ray_actors, slurm_jobs);
worker -> their program, chunk -> what a job of a cluster does with it; run -> the whole;
summary -> its tables and its page.
"""
