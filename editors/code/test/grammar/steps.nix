{
  steps = [
    {
      # bash = ''not this''
      bash = ''
        echo "${tool}" ''${HOME} '''quoted'''
        make test
      '';
      name = "bash = ''nor this''";
    }
    { bash = "one line stays a string"; }
    { run = ''print(1)''; shell = "python3"; }
  ];
  text = ''
    nor an ordinary string
  '';
}
