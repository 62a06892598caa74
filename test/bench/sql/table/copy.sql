COPY bench_table (body) FROM :file;
