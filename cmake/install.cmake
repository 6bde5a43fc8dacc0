# install rules: see docs (filled by packaging)
