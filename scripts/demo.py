import sys
import time
import urllib.request

import wherry

base, image, port = sys.argv[1:4]
with wherry.Runtime(root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks") as rt:
    rt.images.pull(image, policy="missing")
    result = rt.containers.run(image, ["sh", "-c", "echo hi; exit 3"], remove=True)
    print("run:", result.exit_code, result.stdout.strip())
    with rt.containers.create(
        image, ["httpd", "-f", "-v", "-h", "/www"], name="pyweb", init=True, ports=[f"127.0.0.1:{port}:80"]
    ) as ctr:
        ctr.start()
        assert ctr.exec(["hostname"]).exit_code == 0
        time.sleep(0.3)
        print("page:", urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode())
        print("running:", [c.name for c in rt.containers.list()])
        ctr.stop(timeout=1)
        print("log:", [line.text for line in ctr.logs()][-1])
    print("left:", rt.containers.list(all=True))
