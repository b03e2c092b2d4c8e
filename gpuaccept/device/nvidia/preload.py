"""Imports all that a worker on NVIDIA hardware needs, and loads no driver library: the bindings do so at their first
call."""

from cuda.bindings import driver as driver

from gpuaccept.device.nvidia import node as node
