# pip's flags for the wheels that a GPU host takes (x86-64, glibc 2.39; the newest kind first), as `platforms`. pack.sh of gpu_bench and of train_bench source it.
platforms=()
for n in 39 35 34 31 28 27 26 24 18 17 12 5; do platforms+=(--platform "manylinux_2_${n}_x86_64"); done
platforms+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64)
