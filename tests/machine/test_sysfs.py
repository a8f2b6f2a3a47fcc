"""Values from the kernel's files, and from their absence."""

import pytest

from edgeseg.machine import sysfs
from edgeseg.machine.nvml import GpuState
from tests.machine.planted import plant, plant_cpu, plant_orin, plant_quota


@pytest.fixture
def orin(tmp_path):
    plant_orin(tmp_path)
    return tmp_path


def test_a_board_s_gpu_is_found_among_the_devices(orin):
    assert sysfs.board_gpu(orin) == GpuState(mhz=306.0, min_mhz=306.0, max_mhz=612.0)


@pytest.mark.parametrize("name", ["17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"])
def test_the_gpu_s_names_differ_by_board_and_release(tmp_path, name):
    plant(tmp_path, f"sys/class/devfreq/{name}/cur_freq", 0)
    assert sysfs.board_gpu(tmp_path) == GpuState(mhz=0.0), "powered down, and still read"


def test_cpu_is_the_fastest_core(tmp_path):
    plant_cpu(tmp_path, khz=(800_000, 3_600_000), top=4_700_000, governor="powersave")
    assert sysfs.cpu(tmp_path) == (3600.0, 4700.0)
    assert sysfs.governor(tmp_path) == "powersave"
    plant(tmp_path, "sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "performance")
    assert sysfs.governor(tmp_path) == "performance, powersave"


def test_the_power_mode_has_its_name_and_number(orin):
    assert sysfs.power_mode(orin) == "15W (mode 0)"
    plant(orin, "var/lib/nvpmodel/status", "pmode:0002 fmode:fanNull")
    assert sysfs.power_mode(orin) == "MAXN_SUPER (mode 2)"
    (orin / "etc/nvpmodel.conf").unlink()
    assert sysfs.power_mode(orin) == "mode 2"


@pytest.mark.parametrize(
    ("names", "fastest"),
    [
        (("MAXN", "10W", "15W"), 0),
        (("15W", "25W", "MAXN_SUPER", "7W"), 2),
        (("MAXN", "MAXN_SUPER"), 1),
        (("15W", "7W"), None),
    ],
)
def test_the_fastest_mode_is_known_by_its_name(tmp_path, names, fastest):
    modes = [f"< POWER_MODEL ID={i} NAME={name} >" for i, name in enumerate(names)]
    plant(tmp_path, "etc/nvpmodel.conf", "\n".join(modes))
    assert sysfs.fastest_mode(tmp_path) == fastest


def test_sensors_that_are_off_or_none_are_no_temperatures(orin):
    assert sysfs.temperatures(orin) == {"cpu-thermal": 51.25, "gpu-thermal": 61.5}


def test_temperatures_keep_the_hotter_of_two_sensors_with_one_name(tmp_path):
    for i, milli in enumerate((27800, 45000, 30000)):
        plant(tmp_path, f"sys/class/thermal/thermal_zone{i}/type", "acpitz")
        plant(tmp_path, f"sys/class/thermal/thermal_zone{i}/temp", milli)
    assert sysfs.temperatures(tmp_path) == {"acpitz": 45.0}


def test_an_amd_processor_is_read_from_its_monitor(tmp_path):
    for i, name in enumerate(("nvme", "k10temp")):
        plant(tmp_path, f"sys/class/hwmon/hwmon{i}/name", name)
        plant(tmp_path, f"sys/class/hwmon/hwmon{i}/temp1_input", 40000 + i * 5500)
    assert sysfs.temperatures(tmp_path) == {"k10temp": 45.5}


def test_cooling_slows_down_and_a_fan_does_not(orin):
    assert sysfs.cooling(orin) == ()
    plant(orin, "sys/class/thermal/cooling_device1/cur_state", 1)
    assert sysfs.cooling(orin) == ("cooling by gpu-throttle-alert",)


def test_without_a_cooling_device_nothing_is_said(tmp_path):
    plant(tmp_path, "sys/class/thermal/cooling_device0/type", "pwm-fan")
    plant(tmp_path, "sys/class/thermal/cooling_device0/cur_state", 3)
    assert sysfs.cooling(tmp_path) is None


def test_the_supply_s_events_are_counted(orin):
    word = "over-current or under-voltage"
    assert sysfs.counters(orin) == {f"{word} (oc1)": 0, f"{word} (oc2)": 4, f"{word} (oc3)": 27}


def test_the_cores_heat_is_summed_and_the_package_not_counted_again(tmp_path):
    for cpu, count in enumerate((3, 4)):
        folder = f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
        plant(tmp_path, f"{folder}/core_throttle_count", count)
        plant(tmp_path, f"{folder}/package_throttle_count", 9)
    assert sysfs.counters(tmp_path) == {"heat of the CPU": 7}


QUOTA = "CPU quota of the container"


def test_the_quota_of_a_container(tmp_path):
    plant_quota(tmp_path, 12)
    assert sysfs.counters(tmp_path) == {QUOTA: 12}


def test_a_group_without_a_quota_says_nothing(tmp_path):
    plant_quota(tmp_path, 0)
    plant(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000")
    assert sysfs.counters(tmp_path) == {}


def test_the_quota_of_version_1_and_its_names(tmp_path):
    plant(tmp_path, "proc/self/cgroup", "5:memory:/x\n3:cpu,cpuacct:/docker/ab\n0::/")
    plant(tmp_path, "sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_periods 4\nnr_throttled 2")
    plant(tmp_path, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", 150_000)
    assert sysfs.counters(tmp_path) == {QUOTA: 2}, "in a container its own group is the mount"
    plant(tmp_path, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", -1)
    assert sysfs.counters(tmp_path) == {}


def test_the_groups_above_have_quotas_too(tmp_path):
    plant(tmp_path, "proc/self/cgroup", "0::/pod/app")
    plant(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 1")
    plant(tmp_path, "sys/fs/cgroup/pod/cpu.stat", "nr_throttled 5")
    plant(tmp_path, "sys/fs/cgroup/pod/app/cpu.stat", "nr_throttled 3")
    plant(tmp_path, "sys/fs/cgroup/other/cpu.stat", "nr_throttled 900")
    for group in ("pod", "pod/app", "other"):
        plant(tmp_path, f"sys/fs/cgroup/{group}/cpu.max", "50000 100000")
    assert sysfs.counters(tmp_path) == {QUOTA: 8}


def test_a_machine_that_shows_nothing(tmp_path):
    alone = (sysfs.board_gpu, sysfs.governor, sysfs.power_mode, sysfs.fastest_mode)
    assert [read(tmp_path) for read in (*alone, sysfs.cooling)] == [None] * 5
    assert sysfs.cpu(tmp_path) == (None, None)
    assert (sysfs.temperatures(tmp_path), sysfs.counters(tmp_path)) == ({}, {})


def test_files_that_hold_nonsense_are_passed_over(tmp_path):
    plant(tmp_path, "sys/class/devfreq/17000000.gpu/cur_freq", "unsupported")
    plant(tmp_path, "var/lib/nvpmodel/status", "")
    plant(tmp_path, "sys/class/hwmon/hwmon0/oc1_event_cnt", "x")
    plant(tmp_path, "sys/class/hwmon/hwmon0/oc2_event_cnt", "nan")
    plant(tmp_path, "proc/self/cgroup", "nonsense\n0::")
    plant(tmp_path, "sys/fs/cgroup/cpu.stat", "nr_throttled many\nnr_throttled")
    plant(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000")
    plant(tmp_path, "sys/fs/cgroup/cpu.cfs_quota_us", "x")
    assert sysfs.board_gpu(tmp_path) is sysfs.power_mode(tmp_path) is None
    assert sysfs.counters(tmp_path) == {}
