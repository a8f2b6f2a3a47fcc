"""Machines as planted kernel files: a Jetson Orin, a desktop's processor, a container."""

NVPMODEL = """\
# comment
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
GPU MAX_FREQ 612000000
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< PM_CONFIG DEFAULT=1 >
"""


def plant(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def plant_orin(root, *, mhz=306):
    """An Orin Nano in its 15 W mode, its GPU at `mhz` of 612."""
    plant(root, "var/lib/nvpmodel/status", "pmode:0000")
    plant(root, "etc/nvpmodel.conf", NVPMODEL)
    gpu = "sys/class/devfreq/17000000.gpu"
    plant(root, f"{gpu}/cur_freq", mhz * 1_000_000)
    plant(root, f"{gpu}/min_freq", 306_000_000)
    plant(root, f"{gpu}/max_freq", 612_000_000)
    plant(root, "sys/class/devfreq/15340000.vic/cur_freq", 729_600_000)
    zones = ("cpu-thermal", "51250"), ("gpu-thermal", "61500"), ("cv0-thermal", "-256000")
    for i, (name, milli) in enumerate((*zones, ("PMIC-Die", "100000"), ("soc-thermal", "n/a"))):
        plant(root, f"sys/class/thermal/thermal_zone{i}/type", name)
        plant(root, f"sys/class/thermal/thermal_zone{i}/temp", milli)
    devices = ("pwm-fan", 3), ("gpu-throttle-alert", 0), ("cpufreq-cpu0", 0)
    for i, (name, state) in enumerate(devices):
        plant(root, f"sys/class/thermal/cooling_device{i}/type", name)
        plant(root, f"sys/class/thermal/cooling_device{i}/cur_state", state)
    for i, count in enumerate((0, 4, 27)):
        plant(root, f"sys/class/hwmon/hwmon3/oc{i + 1}_event_cnt", count)
    plant_cpu(root, khz=(1_510_400, 729_600), top=1_510_400, governor="schedutil")


def plant_cpu(root, *, khz, top, governor):
    for i, now in enumerate(khz):
        policy = f"sys/devices/system/cpu/cpufreq/policy{i}"
        plant(root, f"{policy}/scaling_cur_freq", now)
        plant(root, f"{policy}/scaling_min_freq", 400_000)
        plant(root, f"{policy}/scaling_max_freq", top)
        plant(root, f"{policy}/scaling_governor", governor)


def plant_quota(root, throttled):
    """A container of control groups version 2."""
    plant(root, "proc/self/cgroup", "0::/")
    stat = f"usage_usec 9\nnr_periods 50\nnr_throttled {throttled}\nthrottled_usec 12345"
    plant(root, "sys/fs/cgroup/cpu.stat", stat)
    plant(root, "sys/fs/cgroup/cpu.max", "150000 100000")
