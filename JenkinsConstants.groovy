// Read by the hub's pipeline: which Dockerfile it builds, and on which tags of tensorflow/tensorflow.
import groovy.transform.Field

@Field
def dockerfile = 'Dockerfile'

@Field
def base_cpu_tag = '2.19.0'

@Field
def base_gpu_tag = '2.19.0-gpu'

return this;
