name: ci
jobs:
  test:
    steps:
      - run: make test
