COPY bench (body) FROM :file;
