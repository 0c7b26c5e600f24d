// An ALSA capture device for tests: as fast as a real one, with a converter that is off by some ppm, and with faults.
//
// Each sample says which one it is. Counting from CLOCK_MONOTONIC `epoch_ns`, frame n has n % 32768 on even channels
// and n / 32768 on odd ones, whether or not anybody read the frames before it: what is lost is lost, as in a real array.
// With `file`, frame n is frame n % (frames in the file) of it instead: 16 bit, interleaved.
// With `bits` 32, each sample is the upper half of four bytes.
// With `step_us`, the device tells of its frames only so often, as one does that works through USB packets.
//
// The file `fault` holds a word: "overrun" (once; the file is then removed), or, as long as it stays, "stall" (no more
// samples, no more wake-ups), "babble" (no more samples, but wake-ups all the time) or "unplug".
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    snd_pcm_ioplug_t io;
    char fault_path[256];
    double frames_per_ns;
    double frames_per_step; // 0: it tells of each frame
    const int16_t *sound;   // of a file, else NULL
    int64_t sound_frames;
    long bits;
    int64_t epoch_ns;
    int64_t first_frame; // made when the stream started
    int64_t taken;       // read by the application since then
    int64_t made;        // as last told to ALSA
} device_t;

static int64_t frames_made(const device_t *device)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t since_ns = now.tv_sec * 1000000000LL + now.tv_nsec - device->epoch_ns;
    return (int64_t)(since_ns * device->frames_per_ns);
}

static int has_fault(const device_t *device, const char *word)
{
    char text[16] = "";
    int fd = open(device->fault_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && strncmp(text, word, strlen(word)) == 0;
}

static int start(snd_pcm_ioplug_t *io)
{
    device_t *device = io->private_data;
    long period_ns = (long)(1e9 * io->period_size / io->rate);
    struct itimerspec every = {{0, period_ns}, {0, period_ns}};
    device->first_frame = frames_made(device);
    device->taken = 0;
    device->made = 0;
    return timerfd_settime(io->poll_fd, 0, &every, NULL) < 0 ? -errno : 0;
}

static int stop(snd_pcm_ioplug_t *io)
{
    struct itimerspec never = {{0, 0}, {0, 0}};
    return timerfd_settime(io->poll_fd, 0, &never, NULL) < 0 ? -errno : 0;
}

static snd_pcm_sframes_t pointer(snd_pcm_ioplug_t *io)
{
    device_t *device = io->private_data;
    if (has_fault(device, "unplug")) {
        snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
        return device->made % io->buffer_size;
    }
    if (has_fault(device, "overrun")) {
        unlink(device->fault_path);
        return -EPIPE;
    }
    if (has_fault(device, "stall"))
        stop(io);
    if (has_fault(device, "stall") || has_fault(device, "babble"))
        return device->made % io->buffer_size;
    int64_t made = frames_made(device);
    if (device->frames_per_step > 0)
        made = (int64_t)(floor(made / device->frames_per_step) * device->frames_per_step);
    if (made - device->first_frame > device->made)
        device->made = made - device->first_frame;
    if (device->made - device->taken > (int64_t)io->buffer_size)
        return -EPIPE;
    return device->made % io->buffer_size;
}

static snd_pcm_sframes_t transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset,
                                  snd_pcm_uframes_t size)
{
    device_t *device = io->private_data;
    for (unsigned channel = 0; channel < io->channels; channel++) {
        const snd_pcm_channel_area_t *area = &areas[channel];
        for (snd_pcm_uframes_t i = 0; i < size; i++) {
            int64_t frame = device->first_frame + device->taken + i;
            char *place = (char *)area->addr + (area->first + area->step * (offset + i)) / 8;
            int16_t *sample = (int16_t *)place;
            if (device->bits == 32)
                *sample++ = 0;
            if (device->sound)
                *sample = device->sound[frame % device->sound_frames * io->channels + channel];
            else
                *sample = channel % 2 ? (frame / 32768) % 32768 : frame % 32768;
        }
    }
    device->taken += size;
    return size;
}

static int poll_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned n, unsigned short *revents)
{
    uint64_t expirations;
    (void)n;
    if (has_fault(io->private_data, "babble"))
        *revents = fds[0].revents;
    else
        *revents = read(io->poll_fd, &expirations, sizeof expirations) > 0 ? fds[0].revents : 0;
    return 0;
}

static int finish(snd_pcm_ioplug_t *io)
{
    device_t *device = io->private_data;
    close(io->poll_fd);
    if (device->sound)
        munmap((void *)device->sound, device->sound_frames * io->channels * 2);
    free(device);
    return 0;
}

static int load(device_t *device, const char *file, unsigned channels)
{
    struct stat status;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || status.st_size < 2 * channels) {
        close(fd);
        return -EINVAL;
    }
    device->sound_frames = status.st_size / 2 / channels;
    device->sound = mmap(NULL, device->sound_frames * channels * 2, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (device->sound == MAP_FAILED) {
        device->sound = NULL;
        return -errno;
    }
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = start,
    .stop = stop,
    .pointer = pointer,
    .transfer = transfer,
    .poll_revents = poll_revents,
    .close = finish,
};

static int constrain(device_t *device, unsigned channels, unsigned rate)
{
    unsigned interleaved = SND_PCM_ACCESS_RW_INTERLEAVED;
    unsigned format = device->bits == 32 ? SND_PCM_FORMAT_S32_LE : SND_PCM_FORMAT_S16_LE;
    snd_pcm_ioplug_t *io = &device->io;
    int error;
    if ((error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, &interleaved)) < 0 ||
        (error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format)) < 0 ||
        (error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, channels, channels)) < 0 ||
        (error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, rate, rate)) < 0 ||
        (error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 32, 1 << 16)) < 0)
        return error;
    return snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
}

SND_PCM_PLUGIN_DEFINE_FUNC(paced)
{
    long channels = 2, rate = 16000, bits = 16;
    long long epoch_ns = 0;
    double ppm = 0, step_us = 0;
    const char *fault = "", *file = "";
    snd_config_iterator_t i, next;
    (void)root;
    snd_config_for_each(i, next, conf)
    {
        snd_config_t *entry = snd_config_iterator_entry(i);
        const char *id;
        if (snd_config_get_id(entry, &id) < 0)
            continue;
        if (strcmp(id, "channels") == 0)
            snd_config_get_integer(entry, &channels);
        else if (strcmp(id, "rate") == 0)
            snd_config_get_integer(entry, &rate);
        else if (strcmp(id, "bits") == 0)
            snd_config_get_integer(entry, &bits);
        else if (strcmp(id, "epoch_ns") == 0)
            snd_config_get_integer64(entry, &epoch_ns);
        else if (strcmp(id, "ppm") == 0)
            snd_config_get_ireal(entry, &ppm);
        else if (strcmp(id, "step_us") == 0)
            snd_config_get_ireal(entry, &step_us);
        else if (strcmp(id, "file") == 0)
            snd_config_get_string(entry, &file);
        else if (strcmp(id, "fault") == 0)
            snd_config_get_string(entry, &fault);
    }
    device_t *device = calloc(1, sizeof *device);
    if (device == NULL)
        return -ENOMEM;
    snprintf(device->fault_path, sizeof device->fault_path, "%s", fault);
    if (has_fault(device, "unplug")) {
        free(device);
        return -ENODEV;
    }
    int error = file[0] ? load(device, file, channels) : 0;
    if (error < 0) {
        free(device);
        return error;
    }
    device->bits = bits;
    device->epoch_ns = epoch_ns;
    device->frames_per_ns = rate * (1 + ppm * 1e-6) / 1e9;
    device->frames_per_step = step_us * 1e3 * device->frames_per_ns;
    device->io.version = SND_PCM_IOPLUG_VERSION;
    device->io.name = "paced capture for tests";
    device->io.callback = &callbacks;
    device->io.private_data = device;
    device->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    device->io.poll_events = POLLIN;
    error = snd_pcm_ioplug_create(&device->io, name, stream, mode);
    if (error < 0) {
        close(device->io.poll_fd);
        free(device);
        return error;
    }
    if ((error = constrain(device, channels, rate)) < 0) {
        snd_pcm_ioplug_delete(&device->io);
        return error;
    }
    *pcmp = device->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_SYMBOL(paced);
