# A server beside the tests: as a service of the job, ready before the first step, and as a step in
# the background.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "services";

  jobs = {
    with-a-service = {
      resources.memory = "1G";
      services.web = {
        env.PORT = 18631;
        bash = ''
          mkdir -p site && echo "hello from the service" > site/index.html
          exec python3 -m http.server "$PORT" --bind 127.0.0.1 --directory site
        '';
        health = "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:$PORT')\"";
      };
      steps = [
        { name = "ask"; run = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:18631').read().decode())"; shell = "python3"; }
      ];
    };

    in-the-background = {
      steps = [
        { name = "watch"; background = true; bash = "while :; do date +%s >> ticks; sleep 0.1; done"; }
        { name = "work"; bash = "sleep 0.5; test $(wc -l < ticks) -ge 2 && echo it ticked"; }
      ];
    };
  };
}
